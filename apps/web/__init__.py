"""The web app: pages over run folders, a queue of child processes, and what keeps visitors apart."""
