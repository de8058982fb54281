"""S3 servers for the tests: a real one (Ceph) and an emulator (moto)."""
