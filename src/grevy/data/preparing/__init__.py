"""What is done to a recording before it is trained on: by settings alone, or fitted to a part."""
