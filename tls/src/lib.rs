//! Certificates for the servers and the bridge.
