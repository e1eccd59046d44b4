"""The Celery tasks, one kind a file: each builds the prompt, reads the reply, and is three lines of task."""
