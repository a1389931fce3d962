"""The only importer of panoramisk's AMI `Manager`. `AmiLink` bounds, times out and reconnects it."""
