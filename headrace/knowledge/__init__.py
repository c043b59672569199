"""Documents -> passages -> found passages. Takes vectors as arguments; the encoder is serving's."""
