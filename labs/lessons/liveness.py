"""Which cells of a notebook need the live network: found by reading the code, not by guessing from the output.

A cell is live when the code that runs *in the cell* starts a network, or loads a name that a live cell bound to something
that cannot be written down (a host, a socket, a thread).  Code that the cell only defines does not count; but a function
that mentions live names is tainted, and a cell that loads it is live.  Where reading cannot tell, the answer is "live":
too much is recorded then, which shows as an honest mark, while too little would show another machine's truth as this one's.

What belongs to which scope is asked of Python itself (symtable).
"""

import ast
import re
import symtable
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["DEFINING", "STARTERS", "Code", "Tracker", "read"]

DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAGIC = {"run_line_magic", "run_cell_magic", "system", "getoutput"}  # what IPython makes of %name, %%name, ! and !!
STARTERS = {"network", "program"}  # the names of `labs` that start something live


@dataclass
class Code:
    """What a piece of code does with the notebook's names when it runs.  `defines` holds what runs only when it is called."""

    loads: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)  # names that import statements bind
    starts: set[tuple[str, str]] = field(default_factory=set)  # ("labs", "network") for every `labs.network`, whatever labs is
    starters: set[str] = field(default_factory=set)  # names that `from labs import network` binds
    aliases: set[str] = field(default_factory=set)  # names that `import labs as …` binds
    defines: dict[str, "Code"] = field(default_factory=dict)  # name → what it does when called
    needs: dict[str, set[str]] = field(default_factory=dict)  # name → what its decorators, defaults, bases and class body load
    top: set[str] = field(default_factory=set)  # names bound by an import, def or class that is a statement of the cell itself

    def bound(self) -> set[str]:
        return self.stores | self.imports | set(self.defines)

    def free(self) -> set[str]:
        """Every name that the code and what it defines reach for."""
        return self.loads.union(*(code.loads for code in self.defines.values()))


def read(source: str) -> Code:
    """The `Code` of a cell (Python; IPython's own syntax already translated).  Raises SyntaxError."""
    code, tree = Code(), ast.parse(source)
    for statement in tree.body:
        bound = {name.id for name in ast.walk(statement) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            bound = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound = {statement.name}
        (code.top.update if isinstance(statement, DEFINING) else code.top.difference_update)(bound)
    _note(_Now(code).visit(tree), code)
    code.stores -= set(code.defines)
    return code


class _Now(ast.NodeTransformer):
    """Leaves what runs at once: the bodies of functions are taken out, and noted as what the cell defines."""

    def __init__(self, code):
        self.code, self.in_class = code, False

    def visit_FunctionDef(self, node):
        whole, node.body = ast.unparse(node), [ast.Pass()]
        return self.defined(node.name, whole, node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        """A class body runs at once; the methods in it do not."""
        whole, outer, self.in_class = ast.unparse(node), self.in_class, True
        self.generic_visit(node)
        self.in_class = outer
        return self.defined(node.name, whole, node)

    def visit_Assign(self, node):
        """`f = lambda …` defines; any other lambda is handed to somebody who may call it now."""
        if isinstance(node.value, ast.Lambda) and all(isinstance(target, ast.Name) for target in node.targets):
            whole, node.value.body = ast.unparse(node.value), ast.Constant(None)
            for target in node.targets:
                self.defined(target.id, whole, node.value)
        return node

    def defined(self, name, whole, emptied):
        if not self.in_class:
            self.code.defines[name] = _note(ast.parse(whole), Code())
            self.code.needs[name] = _note(emptied, Code()).loads
        return emptied


def _note(tree, code):
    """Put what a tree loads, binds and starts into `code`, all its inner scopes included."""
    table = symtable.symtable(ast.unparse(_Generators().visit(tree)), "cell", "exec")
    for symbol in table.get_symbols():
        if symbol.is_referenced():
            code.loads.add(symbol.get_name())
        if symbol.is_imported():
            code.imports.add(symbol.get_name())
        elif symbol.is_assigned():
            code.stores.add(symbol.get_name())
    code.loads |= _from_outside(table)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Del()) | ast.AugAssign(target=ast.Name(id=name)) if name in code.stores:
                code.loads.add(name)  # n += 1 reads n first
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if attribute in STARTERS:
                code.starts.add((name, attribute))
            case ast.Call(func=ast.Attribute(attr=called), args=arguments) if called in MAGIC:
                # `%timeit client.connect(…)` has the code in a text: every word in it may be a name.
                text = " ".join(str(arg.value) for arg in arguments if isinstance(arg, ast.Constant))
                code.loads.update(re.findall(r"[^\W\d]\w*", text))
                code.starts.update(re.findall(rf"([^\W\d]\w*)\.({'|'.join(STARTERS)})\b", text))
            case ast.Import(names=names):
                for alias in names:
                    name, module = alias.asname or alias.name.partition(".")[0], alias.name.split(".")
                    if alias.name == "labs" or (module[0] == "labs" and not alias.asname):
                        code.aliases.add(name)
                    elif module[0] == "labs" and module[1] in STARTERS:
                        code.starters.add(name)
            case ast.ImportFrom(module=module, names=names) if (module or "").split(".")[0] == "labs":
                inside = module.split(".")[1:]
                code.starters |= {alias.asname or alias.name for alias in names if (inside or [alias.name])[0] in STARTERS}
    return code


class _Generators(ast.NodeTransformer):
    """Since Python 3.12 the variable of a comprehension counts as a name of the code round it (PEP 709); a generator's not."""

    def visit_ListComp(self, node):
        element = node.elt if hasattr(node, "elt") else ast.Tuple([node.key, node.value], ast.Load())
        return self.generic_visit(ast.GeneratorExp(element, node.generators))

    visit_SetComp = visit_DictComp = visit_ListComp


def _from_outside(table):
    """The names of the notebook that the scopes inside this one reach for."""
    found = set()
    for scope in table.get_children():
        found |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()} | _from_outside(scope)
    return found


class Tracker:
    """What is live so far, cell after cell."""

    def __init__(self):
        self.live = set()  # names bound to something that cannot be written down
        self.defined = {}  # name → Code of a function or class of the notebook
        self.aliases = {"labs"}
        self.starters = set()

    def reaches(self, code: Code) -> set[str]:
        """The names that running `code` may load: its own, and those of the functions among them, which it may call."""
        found, todo, known = set(), set(code.loads), {**self.defined, **code.defines}
        while todo:
            name = todo.pop()
            found.add(name)
            if name in known:
                todo |= known[name].loads - found
        return found

    def why(self, code: Code) -> list[str]:
        """The names that make `code` live, in order; empty when it is not."""
        reached, known = self.reaches(code), {**self.defined, **code.defines}
        reasons = reached & (self.live | self.starters | code.starters)
        for part in (code, *(known[name] for name in reached & set(known))):
            reasons |= part.starters
            reasons |= {f"{name}.{starter}" for name, starter in part.starts if name in self.aliases | code.aliases}
        return sorted(reasons)

    def after(self, code: Code, live: Iterable[str] = (), bound: Iterable[str] = ()) -> None:
        """Note what a cell has bound.  `live`: names it bound to something live; `bound`: others than its code shows."""
        for name in code.bound() | set(bound):
            self.live.discard(name)
            self.defined.pop(name, None)
            self.starters.discard(name)
        self.defined.update(code.defines)
        self.aliases |= code.aliases
        self.starters |= code.starters
        self.live |= set(live)
