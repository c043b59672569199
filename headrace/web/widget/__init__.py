"""The widget: one script for a web page, and the routes that it alone calls, with a public key."""
