"""The FastAGI server that Asterisk calls, and one module for each AGI script; `dialplan.py` maps paths to scripts."""
