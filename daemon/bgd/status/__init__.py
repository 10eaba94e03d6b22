"""What this node tells about itself over HTTP: its health, its reports, its metrics."""
