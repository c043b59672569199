"""What Headrace measures of itself: `python -m benchmarks.NAME [--quick] [--json FILE]`, all of one shape."""
