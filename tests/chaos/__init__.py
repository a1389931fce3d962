"""Makes thousands of calls while it kills the engine and Asterisk at random, then compares database and telephones.

python -m tests.chaos --seed 7 --engine-kills 200 --asterisk-kills 20 --rate 10

plan      what happens in a run, determined by its seed
load      the telephones: callers and callees, with every message traced
trouble   the kills and renewals, and their times
seen      what the telephones saw of each call
books     what the database holds for each call
judge     where the two disagree
recovery  how long the system took to recover
figures   the report of a run
run       one run, from the first booking to the verdict
"""
