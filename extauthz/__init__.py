"""GitLab permissions in front of MLflow."""
