"""Kills, stops, suspends, cuts off and promotes the parts of a cluster under calls, then audits the books."""
