"""Memory through which threads tell each other what to do: its layout, in bytes.

The board begins with the address of a job's code, how its loop is cut into pieces, the address of
the code that shares it out, and the job's arguments. Each thread has a *box* with the pieces that
are for it, as long as nobody has taken them, and a word that says how things stand:

    IDLE     the helper looks at its box all the time
    POSTED   there is work, from which the caller may still keep the helper
    TAKEN    it is at work
    ENDED    it has found no piece left, and waits for the caller to see that
    CALLED   it is to come back into Python
    ASLEEP   it waits in Python until it is woken; for good, in the box of the caller
"""

from __future__ import annotations

IDLE, POSTED, TAKEN, ENDED, CALLED, ASLEEP = range(6)

CODE, TOTAL, STEP, PIECES, PARTS, LEAD = 0, 8, 16, 24, 32, 40
ARGUMENTS = 64
BOXES = 4096  # box 0 is the caller's, box i that of helper i
BOX_BYTES = 128  # so that no two threads write to the same or to neighbouring cache lines
STATE, LEFT = 0, 8  # in a box; LEFT: the first piece, and ABOVE times the one after the last
ABOVE = 2**32
