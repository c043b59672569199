"""Every schema that was ever released, as steps."""
