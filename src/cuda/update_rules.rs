//! Which kernel is which rule's, and what it is given: an arm a rule.
//!
//! A rule's kernel is found by [`UpdateRule::NAME`] and takes the rule's numbers from [`UpdateRule::constants`]; this floor does not know
//! the rules themselves.

use super::handles::{Adamw, Lamb, LambNorms, Lars, LarsNorms, Lion, Sgd, UpdateShape};
use super::launch::{Dims, Driver, grid_extent, launch};
use super::update::{Arenas, Control, Groups, NORM_SHARED_BYTES, THREADS, span_dims};
use crate::backend::UpdateRule;
use crate::error::{Error, Result};

/// One step of `rule` over the arenas, which are not empty.
pub(super) fn launch_rule<R: UpdateRule, D: Driver>(
    rule: &R,
    control: &mut Control<D>,
    groups: &mut Groups<D>,
    arenas: &Arenas,
    shape: UpdateShape,
) -> Result<()> {
    let Arenas { params, grads, state, shadow } = *arenas;
    let (rates, tensors, block) = (control.rates.ptr(), groups.groups.ptr(), control.block.ptr_mut());
    let driver = &control.driver;
    let dims = span_dims(shape.len as usize)?;
    let pieces = Dims { grid: [grid_extent(groups.pieces.len())?, 1, 1], block: [THREADS, 1, 1], shared_bytes: NORM_SHARED_BYTES };

    // What every kernel of an arena takes, and what every kernel of norms takes, with the rule's own fields after it.
    macro_rules! update {
        ($kernel:ident { $($own:tt)* }) => {
            launch(driver, &dims, &$kernel { params, grads, state, shadow, control: block, rates, groups: tensors, shape, $($own)* })
        };
    }
    macro_rules! norms {
        ($kernel:ident { $($own:tt)* }) => {{
            let (slabs, tickets, trusts) = (groups.slabs.ptr_mut(), groups.tickets.ptr_mut(), groups.trusts.ptr_mut());
            let parts = groups.pieces.ptr();
            let kernel = $kernel {
                params, grads, state, control: block, rates, groups: tensors, shape, pieces: parts, slabs, tickets, trusts, $($own)*
            };
            launch(driver, &pieces, &kernel)?;
            trusts.to_read()
        }};
    }

    let [a, b, c] = rule.constants();
    match R::NAME {
        "sgd" => update!(Sgd { dampening: a, nesterov: flag(b) }),
        "adamw" => update!(Adamw { beta2: a, eps: b }),
        "lion" => update!(Lion { beta2: a }),
        "lars" => {
            let trusts = norms!(LarsNorms { trust_coefficient: a, eps: b });
            update!(Lars { trusts, nesterov: flag(c) })
        }
        "lamb" => {
            let trusts = norms!(LambNorms { beta2: a, eps: b });
            update!(Lamb { trusts, beta2: a, eps: b })
        }
        other => Err(Error::internal(format!("no kernel for the rule '{other}'"))
            .at("src/cuda/update_rules.rs")
            .because("a rule of src/optim without an arm here")
            .next("--device cpu, or another --opt")),
    }
}

fn flag(constant: f64) -> i32 {
    (constant != 0.0).into()
}
