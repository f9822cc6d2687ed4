"""One endpoint by itself: fetches a version, builds it and serves it. What a container runs."""
