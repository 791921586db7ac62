# Included by llama.cpp's build: the library alone, compiled as quickly as it can be.
set(LLAMA_BUILD_COMMON OFF)
set(CMAKE_C_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
cmake_language(DEFER CALL target_compile_options llama PRIVATE -O0)  # what computes is ggml
