/* SPDX-License-Identifier: 0BSD */
#include "thimble_packed_elements_dsp.h"

#include "thimble_packed.h"

const int8_t *thimble_packed_elements_fetch(thimble_packed_operand operand, const void *values, int32_t first,
                                            int32_t count, int8_t *place) {
    const uint8_t *from = (const uint8_t *)values + first * thimble_packed_bytes(operand.channels, operand.bits);
    if (operand.bits == 8) {
        return (const int8_t *)from;
    }
    thimble_unpack_pixels_dsp(from, place, count, operand.channels, operand.bits);
    return place;
}

int8_t *thimble_packed_elements_target(thimble_packed_operand result, void *values, int32_t first, int8_t *place) {
    return result.bits == 8 ? (int8_t *)values + first * result.channels : place;
}

void thimble_packed_elements_store(thimble_packed_operand result, const int8_t *place, void *values, int32_t first,
                                   int32_t count) {
    if (result.bits < 8) {
        uint8_t *to = (uint8_t *)values + first * thimble_packed_bytes(result.channels, result.bits);
        thimble_pack_pixels_dsp(place, to, count, result.channels, result.bits);
    }
}

int8_t *thimble_packed_elements_behind(thimble_packed_operand operand, int8_t *place, int32_t at_once) {
    return operand.bits == 8 ? place : place + (at_once * operand.channels + 3) / 4 * 4;
}
