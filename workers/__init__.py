"""What runs a call: the Celery application, its pool and its workers."""
