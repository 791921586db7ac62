"""What searches vectors, one module each; `measure.py` says what a module offers."""

K, GROUPS = 10, 100
FILTERS = {"all": GROUPS, "10 %": GROUPS // 10, "1 %": 1}  # rows of groups below these are let in
TOGETHER = 20  # rows that share a document, and with it a group
