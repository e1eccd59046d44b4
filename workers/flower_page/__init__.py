"""The page Providers in Flower: what providers, queues, calls, jobs and money do, and what operators may do to them."""
