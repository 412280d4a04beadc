"""Memory through which threads tell each other what to do: its layout, in bytes.

The board begins with the address of a job's code and its arguments. Each thread has a *box* with
the part of the loop that is for it, and a word that says how things stand:

    IDLE     the helper looks at its box all the time
    POSTED   there is a part for it, which the caller may still take back
    TAKEN    it does the part
    ENDED    it has done the part, and waits for the caller to see that
    CALLED   it is to come back into Python
    ASLEEP   it waits in Python until it is woken; for good, in the box of the caller
"""

from __future__ import annotations

IDLE, POSTED, TAKEN, ENDED, CALLED, ASLEEP = range(6)

CODE, ARGUMENTS = 0, 64
BOXES = 4096  # box 0 is the caller's, box i that of helper i
BOX_BYTES = 128  # so that no two threads write to the same or to neighbouring cache lines
STATE, FROM, TO = 0, 8, 16  # in a box
