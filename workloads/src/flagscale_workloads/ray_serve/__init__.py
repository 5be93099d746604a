"""One serving process under a Ray Serve replica, in each worker pod of a RayService."""
