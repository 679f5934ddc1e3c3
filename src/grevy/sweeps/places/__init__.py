"""Where runs are done: each place hands out a `concurrent.futures.Executor`, and knows no more."""
