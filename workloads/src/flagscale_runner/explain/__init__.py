"""Why a resource waits or has failed, and what to do next."""
