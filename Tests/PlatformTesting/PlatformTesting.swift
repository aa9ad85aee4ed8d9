// PlatformTesting
