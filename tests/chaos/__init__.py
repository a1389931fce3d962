"""Calls by the thousand while the engine and Asterisk are killed at random, and then the books against the telephones.

python -m tests.chaos --seed 7 --engine-kills 200 --asterisk-kills 20 --rate 10

plan    what is going to happen, from the seed alone
load    the telephones: callers and callees, every message of theirs traced
trouble the kills, the renewals, and when they happened
seen    what the telephones saw of each call
books   what the database says of it
judge   where the two disagree
figures what is reported of a run
run     one run, from the first booking to the verdict
"""
