"""Where the tests find the project's own files."""

from pathlib import Path

TESTS = Path(__file__).parent
REFERENCE = TESTS / "reference"
ROOT = TESTS.parent
MODELS = ROOT / "models"
