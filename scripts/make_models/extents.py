"""How many kinds of things there are in the digits; networks need no more of them than that."""

CLASSES = 10
GREY_LEVELS = 17
