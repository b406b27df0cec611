//! The examples under `envoy/`: bootstraps, configurations, manifests and units hold together.

mod bootstraps;
mod cluster;
mod confined;
mod example;
mod kubernetes;
mod network;
mod replicas;
mod systemd;
