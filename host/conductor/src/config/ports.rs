//! The ports that nodes reach, and whom they believe.

use anyhow::bail;

use super::{Config, Delivery};

/// Whether each port asks who is there, or may be reached by nobody else.
///
/// # Errors
/// One would believe anybody.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let secured = config.xds.tls.is_some();
    if secured && config.filters.delivery == Delivery::Http && config.filters.listen.is_none() {
        bail!(
            "[xds.tls] asks nodes for certificates, and [filters] delivers by HTTP: name a port for code, \
             `listen`, in [filters]"
        );
    }
    if secured || config.xds.insecure {
        return Ok(());
    }
    let bundles = config.bundles.as_ref().map(|bundles| bundles.listen);
    for (what, listen, could) in [
        ("[bundles] listens", bundles, "ask"),
        (
            "`decisions.opa_listen` is",
            config.decisions.opa_listen,
            "send decisions",
        ),
        (
            "`decisions.grpc_listen` is",
            config.decisions.grpc_listen,
            "send decisions",
        ),
    ] {
        if let Some(listen) = listen
            && !listen.ip().is_loopback()
        {
            let on = if what.starts_with('[') { "on " } else { "" };
            bail!(
                "{what} {on}{listen}, where anybody could {could}: set [xds.tls], or `insecure = true` in [xds]"
            );
        }
    }
    Ok(())
}
