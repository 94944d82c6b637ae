//! What the machine's own meters say of its energy. [`EnergyMeter`] is the port; here are the meters that are looked for by themselves.

#[cfg(feature = "nvidia")]
mod nvidia;
mod powercap;

#[cfg(feature = "nvidia")]
pub use nvidia::Nvidia;
pub use parkway_core::energy::EnergyMeter;
use parkway_core::energy::Metering;
pub use powercap::Powercap;

/// Why there is no meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoMeter {
    /// The machine shows no counters of energy.
    #[error("there are no counters of energy under {0}: the machine has none, or a virtual machine does not show them")]
    Absent(String),
    /// They are there, and this process may not read them.
    #[error(
        "the counter of energy {path} cannot be read: {why}; let this user read it, for example: sudo chmod a+r {path} (who \
         can measure closely learns of what other programs do)"
    )]
    Unreadable {
        /// The counter.
        path: String,
        /// Why not.
        why: String,
    },
}

/// The meters of this machine that can be read now.
pub(crate) fn metering() -> Option<Metering> {
    let mut meters: Vec<Box<dyn EnergyMeter>> = Vec::new();
    if let Ok(meter) = Powercap::find() {
        meters.push(Box::new(meter));
    }
    #[cfg(feature = "nvidia")]
    if let Ok(meter) = Nvidia::find() {
        meters.push(Box::new(meter));
    }
    (!meters.is_empty()).then(|| Metering::new(meters))
}
