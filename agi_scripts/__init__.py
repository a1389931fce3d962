"""Everything that Asterisk calls. Which file answers which AGI path stands in `dialplan.py`."""
