//! The three fields of an order, and a value for each of them.

use serde::Deserialize;

/// One field of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Order,
    Customer,
    Delivery,
}

impl Field {
    pub(crate) const ALL: [Self; 3] = [Self::Order, Self::Customer, Self::Delivery];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Customer => "customer",
            Self::Delivery => "delivery",
        }
    }
}

/// A `T` for each field; one that is missing in JSON is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Fields<T: Default> {
    pub(crate) order: T,
    pub(crate) customer: T,
    pub(crate) delivery: T,
}

impl<T: Default> Fields<T> {
    pub(crate) fn get(&self, field: Field) -> &T {
        match field {
            Field::Order => &self.order,
            Field::Customer => &self.customer,
            Field::Delivery => &self.delivery,
        }
    }

    pub(crate) fn get_mut(&mut self, field: Field) -> &mut T {
        match field {
            Field::Order => &mut self.order,
            Field::Customer => &mut self.customer,
            Field::Delivery => &mut self.delivery,
        }
    }
}

/// The text with every run of white space as one blank, and none at the ends.
pub(crate) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_margins_do_not_make_two_values_of_one() {
        assert_eq!(folded("  12\n  March\t2027 "), "12 March 2027");
    }
}
