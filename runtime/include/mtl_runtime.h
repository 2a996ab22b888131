/* The compiled functions of mtl-runtime. Letters: B sentences, T tokens, H width, D directions, G gates,
 * K labels or outputs.
 *
 * Arrays are contiguous and row-major; numbers are float32, ids and sizes int64. Outputs may not overlap
 * inputs. A function returns 0, or an error code; then its outputs are undefined. Sizes may be 0.
 * `lengths` [B] are the numbers of real tokens, from 0 to T, which come first in a sentence; NULL means
 * that all are real. With two directions, they stand side by side in a row; `reverse` makes the first
 * one read from right to left, and the second one reads in the opposite order.
 *
 * All functions may be called from several threads at once. Each runs in its caller's thread. */
#ifndef MTL_RUNTIME_H
#define MTL_RUNTIME_H

#include <stdint.h>

#if defined(__GNUC__)
#define MTL_API __attribute__((visibility("default")))
#else
#define MTL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MTL_OK = 0,
  MTL_BAD_SIZE = 1,      /* a size, stride or count is out of range */
  MTL_BAD_ID = 2,        /* an id is not a row of the table */
  MTL_BAD_LENGTH = 3,    /* a length is not from 0 to T */
  MTL_BAD_MASK = 4,      /* a mask has real tokens after padding */
  MTL_NULL_POINTER = 5,  /* an array is NULL that may not be */
  MTL_NO_MEMORY = 6      /* no memory for the work of the function */
};

/* The meaning of an error code, in one line. */
MTL_API const char* mtl_error(int code);

/* "base", "avx2" or "avx512": the best that the processor has, at most $MTL_ISA. Chosen once. */
MTL_API const char* mtl_instruction_set(void);

/* Writes the lengths [B] of a mask [B, T] with one byte per token, nonzero for real ones. */
MTL_API int mtl_lengths(const uint8_t* mask, int64_t sentences, int64_t steps, int64_t* lengths);

/* ---- QRNN -------------------------------------------------------------------------------------- */

/* The outputs h [B, T, D*H] of a QRNN layer over rows of a table, zero on padding.
 *
 * A row of the table [rows, stride] is [window, D, G, H]; `stride` is the distance of rows. Part k of the
 * row of a token is added to the gates k tokens later in reading order. ids are [B, T], valid on padding,
 * too. count is G: 2 f, 3 fo, 4 ifo pooling. start is the first state [D*H]; NULL means zero. */
MTL_API int mtl_pool_rows(const float* table, int64_t rows, int64_t stride, const int64_t* ids,
                          int64_t sentences, int64_t steps, const int64_t* lengths,
                          const float* start, int64_t width, int64_t window, int64_t count,
                          int reverse, int64_t directions, float* h);

/* The outputs h [B, T, D*H], zero on padding, and last states [B, D*H] of QRNN pooling over gates
 * [B, T, D*G*H]. c0 are the first states [B, D*H]; NULL means zero. */
MTL_API int mtl_pool(const float* gates, const float* c0, const int64_t* lengths, int64_t sentences,
                     int64_t steps, int64_t width, int64_t count, int reverse, int64_t directions,
                     float* h, float* last);

/* ---- LSTM and GRU ------------------------------------------------------------------------------ */

/* The number of packed recurrent weights of one direction. count is G: 4 LSTM, 3 GRU.
 *
 * The size and the order of packed weights depend on the instruction set: pack them where they are used. */
MTL_API int64_t mtl_cell_packed_size(int64_t count, int64_t width);

/* Packs the recurrent weights [G*H, H] of one direction, as torch.nn.LSTM stores them. */
MTL_API int mtl_cell_pack(const float* weights, int64_t count, int64_t width, float* packed);

/* The outputs h [B, T, D*H] of an LSTM or GRU layer, zero on padding.
 *
 * A row of the table [rows, stride] is [D, G, H]: the products with the input weights, with both biases;
 * for the last gate of a GRU with the input bias only. ids are [B, T]; NULL means the rows of the tokens
 * themselves, in order. `packed` are the packed weights, one direction after the other. bias [D, H] is
 * the recurrent bias of the last gate of a GRU; NULL for an LSTM.
 *
 * start is the first state: h and then, for an LSTM, c, each [D*H]. NULL means zero. start_stride is 0 if
 * all sentences share it, else the distance from the state of a sentence to that of the next one.
 * Unless NULL, cells [B, D*H] are the cell states of an LSTM after the last real token. */
MTL_API int mtl_cell_rows(const float* table, int64_t rows, int64_t stride, const int64_t* ids,
                          int64_t sentences, int64_t steps, const int64_t* lengths,
                          const float* start, int64_t start_stride, const float* packed,
                          const float* bias, int64_t width, int64_t count, int reverse,
                          int64_t directions, float* h, float* cells);

/* ---- Linear layers ----------------------------------------------------------------------------- */

/* The number of packed weights of a layer with `inputs` inputs and `outputs` outputs. */
MTL_API int64_t mtl_linear_packed_size(int64_t outputs, int64_t inputs);

/* Packs the weights [outputs, inputs], as torch.nn.Linear stores them. */
MTL_API int mtl_linear_pack(const float* weights, int64_t outputs, int64_t inputs, float* packed);

/* y [N, outputs] = x [N, inputs] times the transposed weights, plus bias [outputs] unless NULL. A row of y
 * does not depend on the other rows, nor on their number. */
MTL_API int mtl_linear(const float* x, int64_t rows, const float* packed, const float* bias,
                       int64_t outputs, int64_t inputs, float* y);

/* ---- CRF --------------------------------------------------------------------------------------- */

/* Scores: emissions [B, T, K], transitions [K, K] from label (row) to label (column), start [K] and end
 * [K]. Minus infinity forbids a label or transition. K is at least 1. */

/* The best paths [B, T], 0 on padding. Ties go to the smaller label. */
MTL_API int mtl_crf_viterbi(const float* emissions, const float* transitions, const float* start,
                            const float* end, const int64_t* lengths, int64_t sentences,
                            int64_t steps, int64_t labels, int64_t* paths);

/* The probability of each label at each token [B, T, K], zero on padding. */
MTL_API int mtl_crf_marginals(const float* emissions, const float* transitions, const float* start,
                              const float* end, const int64_t* lengths, int64_t sentences,
                              int64_t steps, int64_t labels, float* marginals);

/* The logarithm of the sum over all paths of e^score [B]. */
MTL_API int mtl_crf_log_partition(const float* emissions, const float* transitions,
                                  const float* start, const float* end, const int64_t* lengths,
                                  int64_t sentences, int64_t steps, int64_t labels, float* values);

#ifdef __cplusplus
}
#endif
#endif
