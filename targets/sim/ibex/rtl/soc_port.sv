// SPDX-License-Identifier: Apache-2.0
// One of the core's memory ports: grants a request, counts its wait states, answers.
//
// One request is under way at a time. Without wait states the answer comes in the cycle after the grant, and the next
// request is granted in that same cycle, so the port moves a word a cycle. Each wait state adds a cycle.
module soc_port (
  input  logic       clk_i,
  input  logic       rst_ni,

  input  logic       req_i,
  input  logic [3:0] wait_states_i,  // of the memory that the request goes to
  output logic       gnt_o,
  output logic       rvalid_o
);
  logic       busy_q;
  logic [3:0] left_q;

  assign rvalid_o = busy_q && left_q == '0;
  assign gnt_o    = req_i && (!busy_q || rvalid_o);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      left_q <= '0;
    end else if (gnt_o) begin
      busy_q <= 1'b1;
      left_q <= wait_states_i;
    end else if (rvalid_o) begin
      busy_q <= 1'b0;
    end else if (busy_q) begin
      left_q <= left_q - 4'd1;
    end
  end
endmodule
