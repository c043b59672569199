"""What a turn trains: where it begins, one adapter or two at once, and how far corrections reach."""
