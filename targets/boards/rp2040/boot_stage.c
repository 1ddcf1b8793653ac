/* SPDX-License-Identifier: 0BSD */
/* Second stage of the RP2040's boot (RP2040 Datasheet, section 2.8.1). The ROM copies the first 256 bytes of the flash
 * to the end of RAM, compares their CRC, and runs them there, with zero in LR. They let reads of addresses from
 * 0x10000000 on become reads of the flash, and start the firmware that follows them.
 *
 * The slowest and plainest read, command 03h, one bit at a time at a quarter of the core's clock (33 MHz at 133), works
 * with any serial flash. Code that writes the flash and then calls these bytes again has LR set, and they return. */

/* Registers of the SSI (datasheet section 4.10.13) at r3: CTRLR0 0x00, CTRLR1 0x04, SSIENR 0x08, BAUDR 0x14 and
 * SPI_CTRLR0 0xF4. CTRLR0: frames of 32 bits (bits 20 to 16, less one), EEPROM read (3 in bits 9 and 8), one bit wide.
 * SPI_CTRLR0: command 03h (from bit 24 on), 8 bits of command (2 in bits 9 and 8), 24 of address (6 in bits 5 to 2).
 * The last word is the CRC-32 of the 252 bytes before it (polynomial 0x04C11DB7, from all ones, not reflected, not
 * inverted); a test computes it again. */
__asm__(".syntax unified\n"
        ".pushsection .boot, \"ax\", %progbits\n"
        ".thumb\n"
        ".balign 4\n"
        ".type boot_stage, %function\n"
        "boot_stage:\n"
        "    ldr r3, .Lssi\n"
        "    movs r0, #0\n"
        "    str r0, [r3, #0x08]\n" // off: it takes settings only then
        "    movs r1, #4\n"
        "    str r1, [r3, #0x14]\n"
        "    ldr r1, .Lctrlr0\n"
        "    str r1, [r3, #0x00]\n"
        "    str r0, [r3, #0x04]\n" // one frame a read
        "    ldr r1, .Lspi_ctrlr0\n"
        "    ldr r2, .Lssi_spi_ctrlr0\n"
        "    str r1, [r2]\n"
        "    movs r1, #1\n"
        "    str r1, [r3, #0x08]\n"
        "    mov r0, lr\n"
        "    cmp r0, #0\n"
        "    beq 1f\n"
        "    bx lr\n"
        "1:  ldr r0, .Lvector_table\n"
        "    ldr r1, .Lvtor\n"
        "    str r0, [r1]\n"
        "    ldr r1, [r0, #0]\n"
        "    ldr r2, [r0, #4]\n"
        "    msr msp, r1\n"
        "    bx r2\n"
        "    mov r8, r8\n" // nothing: aligns the words
        ".Lssi: .word 0x18000000\n"
        ".Lssi_spi_ctrlr0: .word 0x180000F4\n"
        ".Lctrlr0: .word 0x001F0300\n"
        ".Lspi_ctrlr0: .word 0x03000218\n"
        ".Lvector_table: .word 0x10000100\n"
        ".Lvtor: .word 0xE000ED08\n"
        ".org 252\n"
        ".word 0x377BB500\n"
        ".size boot_stage, . - boot_stage\n"
        ".popsection\n");
