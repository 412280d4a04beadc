"""Text and bytes <-> messages: read, upgrade to the current form, write."""
