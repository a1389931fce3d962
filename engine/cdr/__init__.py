"""Call records (CDRs): writing, listing and exporting them, and the audit of the ledger against them."""
