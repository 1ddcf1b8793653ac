"""What a search for fewer bits is told of the firmware: that it lacks bytes, or that bits brought it nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.compiler.driver.narrow_choice import Bought, Price, in_int8, kinds_of
from thimble.compiler.driver.open_model import Model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.plan_model import plan_model
from thimble.compiler.driver.planning import ShowProgress
from thimble.compiler.driver.quantize import AS_GIVEN
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.plan.plan import Plan
from thimble.quantize.prices import BitsExhausted


def with_fewer_bytes(options: CompileOptions, error: DoesNotFit) -> CompileOptions | None:
    """Options under which a search leaves less of what a firmware lacks, constants or arena; None where none can."""
    search = None if options.quantize is None else options.quantize.search
    if search is None or isinstance(error, BitsExhausted):
        return None
    lacking = error.need_bytes - error.have_bytes
    if error.have_bytes == options.max_flash_bytes and (search.flash_bytes or 0) > lacking:
        smaller = replace(search, flash_bytes=(search.flash_bytes or 0) - lacking)
    elif error.have_bytes == options.max_sram_bytes and search.takes_sram and (search.sram_bytes or 0) > lacking:
        smaller = replace(search, sram_bytes=(search.sram_bytes or 0) - lacking)
    else:
        return None
    assert options.quantize is not None
    return replace(options, quantize=replace(options.quantize, search=smaller))


def bits_bought(model: Model, plan: Plan, limit_bytes: int, show: ShowProgress) -> tuple[Bought, ...]:
    """What fewer bits of activations and of weights bought a model, by plans of the same model in int8."""
    kinds = kinds_of(model.plain)
    if not kinds:
        return ()
    narrow, found = _price(model, plan), []
    for kind in kinds:
        wide = replace(model, plain=in_int8(model.plain, kind))
        try:
            wide, planned = plan_model(wide, limit_bytes, show)
        except DoesNotFit:
            found.append(Bought(kind, narrow, None))
            continue
        found.append(Bought(kind, narrow, _price(wide, planned)))
    return tuple(found)


def _price(model: Model, plan: Plan) -> Price:
    return Price.of(model.graph, plan, model.options.rounding, model.predicted_cycles or 0)


def without_lost_bits(options: CompileOptions, model: Model, bought: Sequence[Bought]) -> CompileOptions | None:
    """Options under which a search leaves in 8 bits what would make the firmware both larger and slower; None where
    there is none of that, or no search chose it."""
    quantize = options.quantize
    lost = {found.kind for found in bought if found.loses}
    if not lost or quantize is None or quantize.search is None:
        return None
    search = quantize.search.without(lost)
    if search is None and model.origin is not None and model.origin.figures["method"] == AS_GIVEN:
        return replace(options, quantize=None)
    return replace(options, quantize=replace(quantize, search=search))
