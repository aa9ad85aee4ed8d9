// ServiceLifecycle
