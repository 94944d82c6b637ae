//! The port to meters of energy, and how calls of models that are under way at the same time share what a meter counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::log::Energy;

/// Counts the energy that a part of the machine takes, whoever uses it.
pub trait EnergyMeter: Send + Sync {
    /// What it meters of work on this device (as [`Capabilities::device`](crate::model::Capabilities::device) says it), in a
    /// word that stands in the log: `cpu`. `None` where that work is done elsewhere.
    fn part(&self, device: &str) -> Option<&str>;

    /// Microjoules since some moment, never fewer than before; `None` where it cannot be read now.
    fn read(&self) -> Option<u64>;
}

/// Meters whose counts are shared by time: what a meter counts while several calls are under way on what it meters belongs to each of
/// them in equal parts, and what it counts while none is, to none. So calls never have more together than was counted.
#[derive(Clone)]
pub struct Metering {
    meters: Arc<[Shared]>,
}

struct Shared {
    meter: Box<dyn EnergyMeter>,
    shares: Mutex<Shares>,
}

#[derive(Debug, Default)]
struct Shares {
    /// What the meter said last.
    read: Option<u64>,
    /// Microjoules of the calls under way; none for a call during which the meter could not be read.
    under_way: BTreeMap<u64, Option<u64>>,
    next: u64,
}

impl Shares {
    /// Shares what was counted since the last look.
    fn settle(&mut self, now: Option<u64>) {
        let counted = now.zip(self.read).map(|(now, before)| now.saturating_sub(before));
        let each = counted.map(|counted| counted / self.under_way.len().max(1) as u64);
        for share in self.under_way.values_mut() {
            *share = share.zip(each).map(|(share, each)| share.saturating_add(each));
        }
        self.read = now;
    }
}

impl Metering {
    /// Shares what these meters count. A call is metered by the first that meters its device.
    pub fn new(meters: Vec<Box<dyn EnergyMeter>>) -> Self {
        let shared = meters.into_iter().map(|meter| Shared { meter, shares: Mutex::default() });
        Metering { meters: shared.collect() }
    }

    /// A call begins on a device. `None` if it is not metered.
    pub(crate) fn begin(&self, device: &str) -> Option<Share> {
        let parts = self.meters.iter().map(|shared| shared.meter.part(device));
        let (meter, of) = parts.enumerate().find_map(|(meter, part)| Some((meter, part?.to_owned())))?;
        let call = self.meters.get(meter)?.begin()?;
        Some(Share { metering: self.clone(), meter, call, of })
    }
}

impl Shared {
    fn begin(&self) -> Option<u64> {
        let mut shares = self.shares();
        let now = self.meter.read();
        shares.settle(now);
        now?;
        let call = shares.next;
        shares.next += 1;
        shares.under_way.insert(call, Some(0));
        Some(call)
    }

    /// Ends a call, and gives its microjoules.
    fn end(&self, call: u64) -> Option<u64> {
        let mut shares = self.shares();
        if !shares.under_way.contains_key(&call) {
            return None;
        }
        shares.settle(self.meter.read());
        shares.under_way.remove(&call).flatten()
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metering").finish_non_exhaustive()
    }
}

/// The part of a call that is under way. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Share {
    metering: Metering,
    meter: usize,
    call: u64,
    of: String,
}

impl Share {
    /// What the call has taken; `None` if the meter could not be read meanwhile.
    pub(crate) fn end(self) -> Option<Energy> {
        let microjoules = self.take()?;
        Some(Energy { mj: microjoules / 1_000, of: self.of.clone() })
    }

    fn take(&self) -> Option<u64> {
        self.metering.meters.get(self.meter)?.end(self.call)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Says what it is told to; `u64::MAX` is nothing.
    #[derive(Clone, Default)]
    struct Told(Arc<AtomicU64>);

    impl Told {
        fn say(&self, millijoules: u64) {
            self.0.store(millijoules.saturating_mul(1_000), Ordering::SeqCst);
        }
    }

    impl EnergyMeter for Told {
        fn part(&self, device: &str) -> Option<&str> {
            device.starts_with("cpu").then_some("cpu")
        }

        fn read(&self) -> Option<u64> {
            Some(self.0.load(Ordering::SeqCst)).filter(|said| *said != u64::MAX)
        }
    }

    fn mj(share: Option<Share>) -> Option<u64> {
        share.unwrap().end().map(|energy| energy.mj)
    }

    #[test]
    fn calls_at_the_same_time_have_more_together_than_was_counted() {
        let told = Told::default();
        let metering = Metering::new(vec![Box::new(told.clone())]);
        told.say(5_000);
        let one = metering.begin("cpu, 2 threads");
        told.say(5_100);
        let two = metering.begin("cpu, 2 threads");
        told.say(5_140);
        assert_eq!(mj(one), Some(120));
        told.say(5_150);
        assert_eq!(mj(two), Some(30));
        // Nobody had this.
        told.say(9_000);
        let three = metering.begin("cpu, 2 threads");
        told.say(9_001);
        assert_eq!(mj(three), Some(1));
    }

    #[test]
    fn a_call_that_was_dropped_takes_a_share_for_ever() {
        let told = Told::default();
        let metering = Metering::new(vec![Box::new(told.clone())]);
        let (one, two) = (metering.begin("cpu"), metering.begin("cpu"));
        told.say(10);
        drop(one);
        told.say(30);
        assert_eq!(mj(two), Some(25));
    }

    #[test]
    fn a_count_with_a_gap_in_it_passes_for_measured() {
        let told = Told::default();
        let metering = Metering::new(vec![Box::new(told.clone())]);
        let one = metering.begin("cpu");
        told.say(u64::MAX);
        assert!(metering.begin("cpu").is_none());
        told.say(50);
        let two = metering.begin("cpu");
        told.say(60);
        assert_eq!((mj(one), mj(two)), (None, Some(5)));
        assert!(metering.begin("CUDA0 NVIDIA (31/31 layers)").is_none());
    }

    #[test]
    fn a_call_has_a_share_of_what_another_device_takes() {
        struct Gpu(Told);
        impl EnergyMeter for Gpu {
            fn part(&self, device: &str) -> Option<&str> {
                device.starts_with("CUDA").then_some("gpu")
            }

            fn read(&self) -> Option<u64> {
                self.0.read()
            }
        }
        let (cpu, gpu) = (Told::default(), Told::default());
        let metering = Metering::new(vec![Box::new(cpu.clone()), Box::new(Gpu(gpu.clone()))]);
        let (one, two) = (metering.begin("cpu"), metering.begin("CUDA0"));
        cpu.say(7);
        gpu.say(90);
        assert_eq!((mj(one), mj(two)), (Some(7), Some(90)));
    }
}
