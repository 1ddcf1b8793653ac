// SPDX-License-Identifier: Apache-2.0
// The smallest chip around an Ibex core: flash, SRAM, and registers through which firmware talks to its host.
//
//   0x2000_0000  flash: FlashWords words, read only; boots at +0x80, traps at +0x00
//   0x1000_0000  SRAM: RamWords words; nothing lies below it, so a stack at its start that overruns faults
//   0x4000_0000  host registers, words:
//                +0x00 CONSOLE    write: prints the low byte
//                +0x04 EXIT       write: ends the run with this code
//                +0x08 OPERATION  write: number of a semihosting operation
//                +0x0c ARGUMENT   write: its argument; the host acts before the store is answered
//                +0x10 RESULT     read: what the operation returned
//
// Both memories have a port for instructions and one for data, as a block RAM of an FPGA has: the ports never wait
// for each other. An access anywhere else, or a store to flash, is answered with an error.
module ibex_soc
  import ibex_pkg::*;
#(
  parameter bit          MaxPerf    = 1'b0,    // lowRISC's configuration: 0 "small", 1 "maxperf"
  parameter int unsigned FlashWords = 262144,
  parameter int unsigned RamWords   = 65536
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [3:0]  flash_wait_states_i,
  input  logic [3:0]  ram_wait_states_i,

  // One pulse a write to CONSOLE, EXIT and ARGUMENT.
  output logic        console_valid_o,
  output logic        exit_valid_o,
  output logic        call_valid_o,
  output logic [31:0] host_data_o,       // what was written
  output logic [31:0] host_operation_o,
  input  logic [31:0] host_result_i,

  output logic        sleep_o,
  output logic        double_fault_o,

  // Each retired instruction: RISC-V Formal Interface.
  output logic        rvfi_valid_o,
  output logic [31:0] rvfi_insn_o,
  output logic [31:0] rvfi_pc_o,
  output logic [ 4:0] rvfi_rd_addr_o,
  output logic [31:0] rvfi_rd_wdata_o,
  output logic [31:0] rvfi_mem_addr_o
);
  localparam logic [31:0] FlashOrigin = 32'h2000_0000;
  localparam logic [31:0] RamOrigin   = 32'h1000_0000;
  localparam logic [31:0] HostOrigin  = 32'h4000_0000;
  localparam int unsigned FlashBits   = $clog2(FlashWords);
  localparam int unsigned RamBits     = $clog2(RamWords);

  logic [31:0] flash[FlashWords]  /* verilator public_flat_rw */;
  logic [31:0] ram[RamWords]  /* verilator public_flat_rw */;

  function automatic logic in_flash(logic [31:0] address);
    return address - FlashOrigin < 4 * FlashWords;
  endfunction

  function automatic logic in_ram(logic [31:0] address);
    return address - RamOrigin < 4 * RamWords;
  endfunction

  // Instruction port.
  logic instr_req, instr_gnt, instr_rvalid, instr_err_q;
  logic [31:0] instr_addr, instr_rdata_q;

  soc_port u_instr_port (
    .clk_i,
    .rst_ni,
    .req_i        (instr_req),
    .wait_states_i(in_flash(instr_addr) ? flash_wait_states_i : ram_wait_states_i),
    .gnt_o        (instr_gnt),
    .rvalid_o     (instr_rvalid)
  );

  always_ff @(posedge clk_i) begin
    if (instr_gnt) begin
      instr_err_q   <= !in_flash(instr_addr) && !in_ram(instr_addr);
      instr_rdata_q <= in_flash(instr_addr) ? flash[instr_addr[FlashBits+1:2]] : ram[instr_addr[RamBits+1:2]];
    end
  end

  // Data port.
  logic data_req, data_gnt, data_rvalid, data_we, data_err_q;
  logic [ 3:0] data_be;
  logic [31:0] data_addr, data_wdata, data_rdata_q, operation_q;
  logic        to_host;

  assign to_host = data_addr[31:5] == HostOrigin[31:5] && data_addr[4:2] <= 3'd4;

  soc_port u_data_port (
    .clk_i,
    .rst_ni,
    .req_i        (data_req),
    .wait_states_i(in_flash(data_addr) ? flash_wait_states_i : in_ram(data_addr) ? ram_wait_states_i : 4'd0),
    .gnt_o        (data_gnt),
    .rvalid_o     (data_rvalid)
  );

  always_ff @(posedge clk_i) begin
    if (data_gnt) begin
      data_err_q <= !in_ram(data_addr) && !to_host && (data_we || !in_flash(data_addr));
      if (!data_we) begin
        data_rdata_q <= in_flash(data_addr) ? flash[data_addr[FlashBits+1:2]] :
                        in_ram(data_addr)   ? ram[data_addr[RamBits+1:2]] : host_result_i;
      end else if (in_ram(data_addr)) begin
        for (int i = 0; i < 4; i++) begin
          if (data_be[i]) ram[data_addr[RamBits+1:2]][8*i+:8] <= data_wdata[8*i+:8];
        end
      end
    end
  end

  // Host registers.
  assign host_operation_o = operation_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {console_valid_o, exit_valid_o, call_valid_o} <= '0;
    end else begin
      console_valid_o <= data_gnt && data_we && to_host && data_addr[4:2] == 3'd0;
      exit_valid_o    <= data_gnt && data_we && to_host && data_addr[4:2] == 3'd1;
      call_valid_o    <= data_gnt && data_we && to_host && data_addr[4:2] == 3'd3;
    end
  end

  always_ff @(posedge clk_i) begin
    if (data_gnt && data_we && to_host) begin
      host_data_o <= data_wdata;
      if (data_addr[4:2] == 3'd2) operation_q <= data_wdata;
    end
  end

  // ibex_configs.yaml of Ibex: "small" and "maxperf" differ in these three parameters.
  ibex_top #(
    .RV32M          (MaxPerf ? RV32MSingleCycle : RV32MFast),
    .BranchTargetALU(MaxPerf),
    .WritebackStage (MaxPerf),
    .RV32B          (RV32BNone),
    .RegFile        (RegFileFF)
  ) u_core (
    .clk_i,
    .rst_ni,
    .test_en_i             (1'b0),
    .ram_cfg_i             ('0),
    .hart_id_i             ('0),
    .boot_addr_i           (FlashOrigin),
    .instr_req_o           (instr_req),
    .instr_gnt_i           (instr_gnt),
    .instr_rvalid_i        (instr_rvalid),
    .instr_addr_o          (instr_addr),
    .instr_rdata_i         (instr_rdata_q),
    .instr_rdata_intg_i    ('0),
    .instr_err_i           (instr_err_q),
    .data_req_o            (data_req),
    .data_gnt_i            (data_gnt),
    .data_rvalid_i         (data_rvalid),
    .data_we_o             (data_we),
    .data_be_o             (data_be),
    .data_addr_o           (data_addr),
    .data_wdata_o          (data_wdata),
    .data_wdata_intg_o     (),
    .data_rdata_i          (data_rdata_q),
    .data_rdata_intg_i     ('0),
    .data_err_i            (data_err_q),
    .irq_software_i        (1'b0),
    .irq_timer_i           (1'b0),
    .irq_external_i        (1'b0),
    .irq_fast_i            ('0),
    .irq_nm_i              (1'b0),
    .scramble_key_valid_i  (1'b0),
    .scramble_key_i        ('0),
    .scramble_nonce_i      ('0),
    .scramble_req_o        (),
    .debug_req_i           (1'b0),
    .crash_dump_o          (),
    .double_fault_seen_o   (double_fault_o),
    .fetch_enable_i        (IbexMuBiOn),
    .alert_minor_o         (),
    .alert_major_internal_o(),
    .alert_major_bus_o     (),
    .core_sleep_o          (sleep_o),
    .scan_rst_ni           (1'b1),

    .rvfi_valid               (rvfi_valid_o),
    .rvfi_order               (),
    .rvfi_insn                (rvfi_insn_o),
    .rvfi_trap                (),
    .rvfi_halt                (),
    .rvfi_intr                (),
    .rvfi_mode                (),
    .rvfi_ixl                 (),
    .rvfi_rs1_addr            (),
    .rvfi_rs2_addr            (),
    .rvfi_rs3_addr            (),
    .rvfi_rs1_rdata           (),
    .rvfi_rs2_rdata           (),
    .rvfi_rs3_rdata           (),
    .rvfi_rd_addr             (rvfi_rd_addr_o),
    .rvfi_rd_wdata            (rvfi_rd_wdata_o),
    .rvfi_pc_rdata            (rvfi_pc_o),
    .rvfi_pc_wdata            (),
    .rvfi_mem_addr            (rvfi_mem_addr_o),
    .rvfi_mem_rmask           (),
    .rvfi_mem_wmask           (),
    .rvfi_mem_rdata           (),
    .rvfi_mem_wdata           (),
    .rvfi_ext_pre_mip         (),
    .rvfi_ext_post_mip        (),
    .rvfi_ext_nmi             (),
    .rvfi_ext_nmi_int         (),
    .rvfi_ext_debug_req       (),
    .rvfi_ext_debug_mode      (),
    .rvfi_ext_rf_wr_suppress  (),
    .rvfi_ext_mcycle          (),
    .rvfi_ext_mhpmcounters    (),
    .rvfi_ext_mhpmcountersh   (),
    .rvfi_ext_ic_scr_key_valid(),
    .rvfi_ext_irq_valid       ()
  );
endmodule
