"""What a file holds, what is likely in it, and with what to start; by samples of large arrays."""
