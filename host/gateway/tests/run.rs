//! Starting an Envoy that cannot start, and ending one.

mod support;

use std::time::Duration;

use gateway::RunError;
use gateway::run::{Envoy, EnvoyOptions, free_port_or, free_ports};
use gateway::spec::Variant;
use support::World;

async fn options() -> (World, EnvoyOptions) {
    let world = World::new(Variant::Delta, Vec::new()).await;
    let options = world.options();
    (world, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_envoy_refuses_is_told_with_its_reason() {
    let (_world, mut options) = options().await;
    options.bootstrap.push_str("\nno_such_setting: 1\n");
    let error = Envoy::start(&options).await.unwrap_err();
    assert!(matches!(error, RunError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_gets_no_configuration_is_not_ready() {
    let (world, mut options) = options().await;
    options.ready_timeout = Duration::from_millis(500);
    let error = Envoy::start(&options).await.unwrap_err();
    assert!(matches!(error, RunError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("INITIALIZING"), "{error}");
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_executable_is_said_to_be_none() {
    let (_world, mut options) = options().await;
    options.binary = "/nonexistent/envoy".into();
    let error = Envoy::start(&options).await.unwrap_err();
    assert!(matches!(error, RunError::Start { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_or_dropped_is_gone() {
    for dropped in [false, true] {
        let (world, options) = options().await;
        world.offer_all();
        let envoy = Envoy::start(&options).await.unwrap();
        assert!(envoy.pid().is_some());
        let admin = envoy.admin();
        if dropped {
            drop(envoy);
        } else {
            envoy.stop(support::PATIENCE).await.unwrap();
        }
        let deadline = tokio::time::Instant::now() + support::PATIENCE;
        while tokio::net::TcpStream::connect(admin).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn ports_are_free_and_each_another() {
    let [one, two, three] = free_ports().unwrap();
    assert!(one != two && two != three && one != three);
    let held = std::net::TcpListener::bind(("127.0.0.1", one)).unwrap();
    assert_ne!(free_port_or(one).unwrap(), one);
    drop(held);
    assert_eq!(free_port_or(one).unwrap(), one);
}
