"""Floor 1: networks, in torch only: operations, supernet, initialisation, isometry, costs."""
