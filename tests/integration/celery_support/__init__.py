"""A small application and real worker processes for the tests of the Celery layer."""
