// Operations on arrays of 32-bit floats that neither cuDNN nor candle does in one pass.
//
// Threads are numbered over the whole grid. A kernel with channels is launched with a multiple of the number of channels, so that all
// values of a thread belong to one channel.

__device__ unsigned thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Adds to each pixel the bias of its channel, then applies ReLU if `relu` is not 0. NaN stays NaN.
extern "C" __global__ void add_bias(
    float *values, const float *__restrict__ bias, size_t count, unsigned channels, unsigned threads, int relu
) {
    unsigned thread = thread_index();
    if (thread >= threads) return;
    float added = bias[thread % channels];
    for (size_t i = thread; i < count; i += threads) {
        float value = values[i] + added;
        values[i] = relu && value < 0.0f ? 0.0f : value;
    }
}

// The gradient of the input of ReLU, from the gradient of its output and the output.
extern "C" __global__ void relu_gradient(
    const float *__restrict__ gradient, const float *__restrict__ output, float *__restrict__ result, size_t count, unsigned threads
) {
    for (size_t i = thread_index(); i < count; i += threads) {
        result[i] = output[i] > 0.0f ? gradient[i] : 0.0f;
    }
}

// The sum of the values of each thread.
extern "C" __global__ void sum_values(const float *__restrict__ values, float *__restrict__ sums, size_t count, unsigned threads) {
    unsigned thread = thread_index();
    if (thread >= threads) return;
    float sum = 0.0f;
    for (size_t i = thread; i < count; i += threads) sum += values[i];
    sums[thread] = sum;
}

// The sum of each column of a matrix, with one block of 256 threads for each column. The order of the additions is always the same.
extern "C" __global__ void sum_columns(const float *__restrict__ matrix, float *__restrict__ sums, unsigned rows, unsigned columns) {
    __shared__ float partial[256];
    float sum = 0.0f;
    for (unsigned row = threadIdx.x; row < rows; row += 256) sum += matrix[(size_t)row * columns + blockIdx.x];
    partial[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

// A step of Adam. `rate` is divided by the bias correction of the mean, and `root` is the bias correction of the root of the squares.
extern "C" __global__ void adam(
    float *__restrict__ values, const float *__restrict__ gradients, float *__restrict__ means, float *__restrict__ squares,
    size_t count, unsigned threads, float scale, float beta1, float beta2, float rate, float root, float epsilon
) {
    for (size_t i = thread_index(); i < count; i += threads) {
        float gradient = scale * gradients[i];
        float mean = beta1 * means[i] + (1.0f - beta1) * gradient;
        float square = beta2 * squares[i] + (1.0f - beta2) * gradient * gradient;
        means[i] = mean;
        squares[i] = square;
        values[i] -= rate * mean / (sqrtf(square) * root + epsilon);
    }
}

// A moving average: `decay * average + (1 - decay) * value`.
extern "C" __global__ void move_average(
    float *__restrict__ averages, const float *__restrict__ values, size_t count, unsigned threads, float decay
) {
    for (size_t i = thread_index(); i < count; i += threads) averages[i] = decay * averages[i] + (1.0f - decay) * values[i];
}
