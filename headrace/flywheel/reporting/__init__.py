"""What a turn did, measured while it runs, and told when it is done."""
