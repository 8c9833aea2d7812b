"""What the instructions of Python 3.11 and later do to the stack, where that is all there is to
them.
"""

from __future__ import annotations

import dis

__all__ = ["COUNTED", "ENDS", "JUMPS", "NO_EFFECT", "PLAIN"]

JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
NO_EFFECT = frozenset(
    [
        "RESUME",
        "NOP",
        "CACHE",
        "EXTENDED_ARG",
        "PRECALL",
        "MAKE_CELL",
        "COPY_FREE_VARS",
        "SETUP_ANNOTATIONS",
        "DELETE_FAST",
        "DELETE_DEREF",
        "DELETE_NAME",
        "NOT_TAKEN",
        "RETURN_GENERATOR",
        "GEN_START",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
        "JUMP_FORWARD",
        "INTERPRETER_EXIT",
    ]
)
ENDS = (
    "RETURN_VALUE",
    "RETURN_CONST",
    "RERAISE",
    "RAISE_VARARGS",
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
)
# opname -> (popped, pushed): everything popped counts as used, everything pushed is data
PLAIN = {
    "TO_BOOL": (1, 1),
    "GET_ITER": (1, 1),
    "COMPARE_OP": (2, 1),
    "IS_OP": (2, 1),
    "CONVERT_VALUE": (1, 1),
    "FORMAT_SIMPLE": (1, 1),
    "FORMAT_WITH_SPEC": (2, 1),
    "LIST_APPEND": (1, 0),
    "SET_ADD": (1, 0),
    "MAP_ADD": (2, 0),
    "LIST_EXTEND": (1, 0),
    "SET_UPDATE": (1, 0),
    "DICT_UPDATE": (1, 0),
    "DICT_MERGE": (1, 0),
    "LIST_TO_TUPLE": (1, 1),
    "BINARY_SLICE": (3, 1),
    "STORE_SLICE": (4, 0),
    "STORE_ATTR": (2, 0),
    "DELETE_ATTR": (1, 0),
    "LOAD_BUILD_CLASS": (0, 1),
    "LOAD_ASSERTION_ERROR": (0, 1),
    "LOAD_LOCALS": (0, 1),
    "LOAD_COMMON_CONSTANT": (0, 1),
    "LOAD_CLOSURE": (0, 1),
    "PUSH_EXC_INFO": (1, 2),
    "CHECK_EXC_MATCH": (1, 1),
    "POP_EXCEPT": (1, 0),
    "BEFORE_WITH": (1, 2),
    "WITH_EXCEPT_START": (0, 1),
    "YIELD_VALUE": (1, 1),
    "CALL_INTRINSIC_1": (1, 1),
    "CALL_INTRINSIC_2": (2, 1),
    "SET_FUNCTION_ATTRIBUTE": (2, 1),
    "RETURN_VALUE": (1, 0),
    "END_SEND": (2, 1),
    "UNARY_NOT": (1, 1),
    "UNARY_NEGATIVE": (1, 1),
    "UNARY_INVERT": (1, 1),
    "UNARY_POSITIVE": (1, 1),
}
COUNTED = (
    "BUILD_TUPLE",
    "BUILD_LIST",
    "BUILD_SET",
    "BUILD_STRING",
    "BUILD_SLICE",
    "RAISE_VARARGS",
)
